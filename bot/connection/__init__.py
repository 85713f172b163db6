"""The AI bot's long connection: one WebSocket to the platform, held by one process of all.

========== =========================================================================================
frames      what goes over the wire, checked
session     one WebSocket: subscribed, pinged, acknowledged, closed
keeper      who holds it: lease, back-off, kicks, hand-over
intake      callbacks become events on the durable queue before anything else happens to them
answer_to   what a delivery needs to know of the callback it answers
bodies      parts of replies as the platform names them
uploads     media in chunks
client      the `ActiveClient` of the channel: which frame carries which part
========== =========================================================================================
"""
