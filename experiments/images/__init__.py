"""What does a folder of photos cost?"""
