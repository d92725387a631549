"""What the examples on CIFAR share, one reason to change per module.

data        the binary files: what is read, and what is refused
images      pixels on the device, batches of them, accuracy and probabilities on them
caffe       the paper's small network and its optimizer, as Caffe has them
networks    ResNet, ResNet with stochastic depth, DenseNet
plans       which policies are compared, on which network, for how many updates
files       files that are whole or not there, the log, the checkpoint
training    one run: trains, logs, and goes on where it was killed
bounds      the range test of a plan
report      tables, verdicts and pictures of finished runs

Imports run from below to above in this list, never back.
"""
