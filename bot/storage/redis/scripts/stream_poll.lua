-- Tell a poll how far an answer is; where the answer waits for delivery, hand its first part over in the same step.
-- KEYS[1]  record of the stream (see lib/stream.lua)
-- KEYS[2]  record of the delivery         KEYS[3]  deliveries by due time
-- KEYS[4]  deliveries of each receiver in order   KEYS[5]  outbox stream
-- ARGV[1]  id of the delivery   ARGV[2]  now, Unix ms   ARGV[3]  how long the id of an ended delivery is kept, ms
-- ARGV[4]  when the parts after the first are due, Unix ms   ARGV[5]  channel that polls: it sees its own streams
-- returns  {word, text, owner}: {'working', text so far} | {'said', parts as JSON; the first is the answer}
--          | {'silent'} | {'elsewhere'}: a sender has it, or nothing is known of it | {'apart'}
-- dies here / comes twice: what was handed over is kept, and every later poll gets the same. A sender that claimed
--          the delivery first keeps it. Where that sender died with a part on its way and its lease has just ended,
--          the person may see the part both ways.
--@include deliver
local state, text, owner, said = unpack(redis.call('HMGET', KEYS[1], 'state', 'text', 'owner', 'said'))
owner = owner or ''
if not state or string.sub(owner, 1, #ARGV[5] + 1) ~= ARGV[5] .. ':' then return {'elsewhere', '', ''} end
if state == 'said' then return {state, said, owner} end
if state ~= 'ready' then return {state, text or '', owner} end

local kept, next_part, parts, place = unpack(redis.call('HMGET', KEYS[2], 'state', 'next_part', 'parts', 'place'))
if kept ~= 'queued' or next_part ~= '0' then return {'elsewhere', '', owner} end
-- Nobody holds it: it waits behind another of its receiver, or is not due yet since its creation, or is due now (a lease
-- ends after now).
local score = tonumber(redis.call('ZSCORE', KEYS[3], ARGV[1]) or '0')
if score > tonumber(ARGV[2]) and score ~= tonumber(string.match(place, '\31%d+\31(%d+)\31')) then
  return {'elsewhere', '', owner}
end
local list = cjson.decode(parts)

redis.call('HSET', KEYS[1], 'state', 'said', 'said', parts)
redis.call('HSET', KEYS[2], 'next_part', '1', 'updated_at_ms', ARGV[2])
if #list > 1 then
  redis.call('ZADD', KEYS[3], 'XX', ARGV[4], ARGV[1])
  delivery_row(KEYS[2], KEYS[5], ARGV[1])
  return {'said', parts, owner}
end
redis.call('HSET', KEYS[2], 'state', 'delivered')
delivery_row(KEYS[2], KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[3] .. ':until', ARGV[1])
redis.call('ZREM', KEYS[4], place)
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'state', 'delivered')
redis.call('PEXPIRE', KEYS[2], ARGV[3])
delivery_first(KEYS[3], string.match(place, '^(.-)\31'), ARGV[2])
return {'said', parts, owner}
