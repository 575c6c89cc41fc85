"""How does a host's framework take part?"""
