"""What wakes the dispatcher?"""
