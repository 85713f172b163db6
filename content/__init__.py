"""Texts people edit without Python; `bot.catalog` reads and checks them."""
