"""WeChat (微信): the Official Account."""
