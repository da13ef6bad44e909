"""Multi-view stereo: depth maps of the training photos and the dense points they fuse to, without any learnt part."""
