"""How each kind of model is asked: one module or package per provider."""
