"""How do a step and its facts become a message?"""
