"""corelib: what the course's notebooks teach, as a small library.

It takes a student from raw videos and judges' marks to a trained, evaluated and explained
Contrastive Regression (CoRe) model for action quality assessment: the I3D encoder, the pairs of
query and exemplar, the score groups and the regression tree, the training loop, the vote over
exemplars and the metrics. The method's files (i3d, tree, pairs, models) know no dataset, no file
and no notebook; corelib.data prepares datasets, corelib.course executes the notebooks.
"""

__version__ = "0.1.0"
ADDRESS = ""  # where the project lives, https://github.com/OWNER/NAME; empty until it is published
