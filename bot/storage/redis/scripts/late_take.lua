-- Take queued events whose lease has ended: their handler died, or they were given back.
-- KEYS[1]  queued event ids by the end of their lease   KEYS[2]  queued events by id
-- KEYS[3]  how often each was taken (hash)
-- ARGV[1]  now, Unix ms   ARGV[2]  end of the new lease, Unix ms   ARGV[3]  how many at most
-- returns  {id, event, times taken, …}
-- dies here / comes twice: the lease ends and another worker takes it; handlers are idempotent under the event id.
local taken = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local event = redis.call('HGET', KEYS[2], id)
  if event then
    redis.call('ZADD', KEYS[1], ARGV[2], id)
    taken[#taken + 1] = id
    taken[#taken + 1] = event
    taken[#taken + 1] = redis.call('HINCRBY', KEYS[3], id, 1)
  else
    redis.call('ZREM', KEYS[1], id)
  end
end
return taken
