"""Modules that the examples on CIFAR share, beside those in `paper`.

data        reads the binary files
images      pixels on the device, batches, probabilities and accuracy
caffe       the paper's small network and its optimizers
networks    ResNet, ResNet with stochastic depth, DenseNet
plans       policies to compare, their network, their number of updates
task        the data on the device, ready to train
command     options of the two commands

Each module imports only modules above it.
"""
