"""What is a round worth under one way to prune and train or another?"""
