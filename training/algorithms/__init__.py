"""InstructGPT's three steps (arXiv 2203.02155) on files: language modelling, reward modelling and PPO.

A library and a command line (`python -m training.algorithms STAGE --help`) that know nothing of the web application.
Importing this package does not import torch.
"""
