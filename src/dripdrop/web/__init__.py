"""Who listens to the world?"""
