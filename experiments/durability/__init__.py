"""What is lost when a search is killed?"""
