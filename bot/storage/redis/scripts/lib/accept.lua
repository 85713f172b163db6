-- Tell an event apart from its repeats and count it; KEYS[1…9] and ARGV[1…10] as in accept.lua. It stands in the act as
-- text, not as a function: a repeat ends the act here with {'open', '', conversation, rounds}, {'decided', record} or
-- {'old', ''}; for a new event it goes on, with `rate`, the events of the member this minute, `talk`, the conversation,
-- `rounds`, the open rounds of this chat and of the whole community ('' for none), and whether one of them is `listening`.
local function in_chat()
  local here, wide = unpack(redis.call('HMGET', KEYS[9], ARGV[10], '*'))
  if not (here or wide) then return '', false end
  if ARGV[10] == '*' then here = '' end
  here, wide = here or '', wide or ''
  return here .. '\n' .. wide, string.byte(here) == 119 or string.byte(wide) == 119
end

local function known(record)
  if not record then return {'old', ''} end
  local at, state = string.match(record, '^(%d+)(%u)')
  if tonumber(ARGV[2]) - tonumber(at) > tonumber(ARGV[3]) then return {'old', ''} end
  if state == 'P' then
    local rounds = in_chat()
    return {'open', '', redis.call('GET', KEYS[8]) or '', rounds}
  end
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
local rounds, listening = in_chat()
