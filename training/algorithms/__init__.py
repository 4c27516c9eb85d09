"""InstructGPT's three steps (arXiv 2203.02155) on files: language modelling, reward modelling and PPO.

A library and a command line (`python -m training.algorithms STAGE --help`) that know nothing of the web application.
Importing this package does not import torch.
"""

from __future__ import annotations

import os

# Read by the libraries as they are imported. Spin counts are how long OpenMP's threads wait before they sleep: on two
# cores a step of the starter model takes 37 ms so, 64 ms where they sleep at once, and where two trainers share the
# cores and spin for the default time, seconds.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
