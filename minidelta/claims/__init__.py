"""The experiments: each is one file that runs by itself and keeps its record beside it.

    diet.py   which part of the pre-training makes a small model useful: dense text, glossary, choice of masked words
"""
