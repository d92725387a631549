"""Modules that the examples on CIFAR and on ImageNet share.

errors      wrong data, wrong folders of runs
files       the log, the checkpoint, files that are replaced as a whole
ranks       the processes of a run on several devices
sgd         SGD in Caffe's form
plans       policies to compare, their network, their number of updates
training    a run: trains, logs and resumes
bounds      the range test of a plan, and find_bounds
report      tables, verdicts and pictures
experiment  the arms of a plan, their budget, tests of rates, training and report
options     options, device and errors of the commands

Each module imports only modules above it.
"""
