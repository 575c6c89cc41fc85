"""How is the host asked for facts?"""
