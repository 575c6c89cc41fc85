"""Which numbered files make the schema, from nothing to the newest?"""
