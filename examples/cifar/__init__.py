"""Modules that the examples on CIFAR share.

data        reads the binary files
images      pixels on the device, batches, probabilities and accuracy
caffe       the paper's small network and its optimizer, as in Caffe
networks    ResNet, ResNet with stochastic depth, DenseNet
plans       policies to compare, their network, their number of updates
files       the log, the checkpoint, files that are replaced as a whole
training    a run: trains, logs and resumes
bounds      the range test of a plan
report      tables, verdicts and pictures
command     options and errors of the two commands

Each module imports only modules above it.
"""
