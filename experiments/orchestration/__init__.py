"""What does a round cost besides its training?"""
