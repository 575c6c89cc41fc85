"""What does a host need to test its own sequences?"""
