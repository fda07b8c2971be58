"""Table 1 of the paper at small scale: what each compression structure gives back."""
