-- Tell an event apart from its repeats and count it; KEYS[1…8] and ARGV[1…9] as in accept.lua. It stands in the act as
-- text, not as a function: a repeat ends the act here with {'open', '', conversation}, {'decided', record} or
-- {'old', ''}; for a new event it goes on, with `rate`, the events of the member this minute, and `talk`, the conversation.
local function known(record)
  if not record then return {'old', ''} end
  local at, state = string.match(record, '^(%d+)(%u)')
  if tonumber(ARGV[2]) - tonumber(at) > tonumber(ARGV[3]) then return {'old', ''} end
  if state == 'P' then return {'open', '', redis.call('GET', KEYS[8]) or ''} end
  return {'decided', record}
end

if redis.call('SISMEMBER', KEYS[2], ARGV[1]) == 1 or redis.call('SISMEMBER', KEYS[7], ARGV[1]) == 1
  or redis.call('SADD', KEYS[1], ARGV[1]) == 0 then
  return known(redis.call('GET', KEYS[3]))
end
redis.call('PEXPIRE', KEYS[1], ARGV[4], 'NX')

if redis.call('HINCRBY', KEYS[4], ARGV[6], 1) == 1 then redis.call('PEXPIRE', KEYS[4], ARGV[5]) end
local last = redis.call('HGET', KEYS[4], 'last_at')
if not last or tonumber(last) < tonumber(ARGV[7]) then redis.call('HSET', KEYS[4], 'last_at', ARGV[7]) end
redis.call('SADD', KEYS[5], ARGV[8])

local rate = redis.call('INCR', KEYS[6])
if rate == 1 then redis.call('PEXPIRE', KEYS[6], 60000) end

local talk = redis.call('GET', KEYS[8]) or ''
