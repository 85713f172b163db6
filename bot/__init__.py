"""Huoqun (活群): the chat-operations bot framework. The way of one message stands in `bot/app.py`."""
