"""What would a user get for the same epochs without us?"""
