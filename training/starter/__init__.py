"""The starter world: a generated corpus, the people who write and judge in it, and the gold they judge by.

Needs neither Django nor torch, and is the same for every seed: seeds choose what is drawn from it.
"""
