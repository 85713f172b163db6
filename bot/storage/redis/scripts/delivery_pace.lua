-- Ask whether one part may be sent now, and take the send from every rate at once, or from none.
-- Everything of one channel lies in one shard, by the channel's name: its block, its rates and those of its receivers.
-- KEYS[1]  the channel's block (hash, see delivery_block.lua)
-- KEYS[2]  who sent this same content to this receiver last: '<0 or 1> <claim>'
-- KEYS[3…] where the rates count: for an exact rate the instants of the last sends, newest first (list; rates over
--          the same sends share it), for one in buckets how much was sent in each (hash: bucket number → count)
-- ARGV[1]  now, Unix ms   ARGV[2]  claim: who sends, '<delivery id>:<part>'; '' where duplicates are not looked for
-- ARGV[3]  how far back the platform looks for duplicates, ms   ARGV[4]  how long a probe may take, ms
-- ARGV[5…] of each rate: its key's number in KEYS, buckets per length (0: exact), most, length in ms, what this send counts
-- returns  {'go', 0, guard, ''}        send; guard 1: ask the platform to drop a duplicate; 0: do not, since another
--                                      delivery said the same lately and this one would be the duplicate
--          {'probe', 0, guard, reason} send, as the one that finds out whether the block of that reason is over
--          {'blocked', instant, 0, reason}  the channel is blocked until that instant, Unix ms
--          {'probed', instant, 0, reason}   another finds out at present, until that instant at the latest
--          {'full', instant, 0, ''}         a rate is used up; it lets this send through from that instant on
-- In any length of time a rate lets through at most `most`: a bucket counts until the whole of it is older than the
-- length, so at most one bucket's part of the rate stays unused. Where clocks differ, the one furthest ahead rules:
-- a process behind it sends into the newest bucket, never into one whose length is already forgotten.
-- dies here / comes twice: a repeat takes another send, and gets the same guard; a probe that dies is followed by another
-- when its time is over.
local now = tonumber(ARGV[1])
local ends, reason, probe_ends = unpack(redis.call('HMGET', KEYS[1], 'until_ms', 'reason', 'probe_until_ms'))
if ends and now < tonumber(ends) then return {'blocked', tonumber(ends), 0, reason} end
if probe_ends and now < tonumber(probe_ends) then return {'probed', tonumber(probe_ends), 0, reason} end

local wait, logs, buckets = 0, {}, {}
for index = 5, #ARGV, 5 do
  local key, parts = KEYS[tonumber(ARGV[index])], tonumber(ARGV[index + 1])
  local most, length, cost = tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3]), tonumber(ARGV[index + 4])
  if parts == 0 then
    local at = redis.call('LINDEX', key, most - 1)
    if at then wait = math.max(wait, tonumber(at) + length) end
    local log = logs[key] or {0, 0}
    logs[key] = {math.max(log[1], most), math.max(log[2], length)}
  else
    local width = math.ceil(length / parts)
    local present, sum, counts, old = math.floor(now / width), 0, {}, {}
    local known = redis.call('HGETALL', key)
    for field = 1, #known, 2 do present = math.max(present, tonumber(known[field])) end
    for field = 1, #known, 2 do
      local number, count = tonumber(known[field]), tonumber(known[field + 1])
      if number < present - parts then
        old[#old + 1] = known[field]
      else
        sum = sum + count
        counts[#counts + 1] = {number, count}
      end
    end
    cost = math.min(cost, most)
    if sum + cost > most then
      table.sort(counts, function(a, b) return a[1] < b[1] end)
      for _, bucket in ipairs(counts) do
        sum = sum - bucket[2]
        if sum + cost <= most then
          wait = math.max(wait, (bucket[1] + parts + 1) * width)
          break
        end
      end
    end
    buckets[#buckets + 1] = {key, present, cost, (parts + 1) * width, old}
  end
end
if wait > now then return {'full', wait, 0, ''} end

for key, log in pairs(logs) do
  redis.call('LPUSH', key, ARGV[1])
  redis.call('LTRIM', key, 0, log[1] - 1)
  redis.call('PEXPIRE', key, log[2])
end
for _, bucket in ipairs(buckets) do
  if #bucket[5] > 0 then redis.call('HDEL', bucket[1], unpack(bucket[5])) end
  redis.call('HINCRBY', bucket[1], string.format('%.0f', bucket[2]), bucket[3])
  redis.call('PEXPIRE', bucket[1], bucket[4])
end
local word = 'go'
if ends then
  word = 'probe'
  redis.call('HSET', KEYS[1], 'probe_until_ms', string.format('%.0f', now + tonumber(ARGV[4])))
end
local guard = '0'
if ARGV[2] ~= '' then
  guard = '1'
  local known = redis.call('GET', KEYS[2])
  if known then guard = string.sub(known, 3) == ARGV[2] and string.sub(known, 1, 1) or '0' end
  redis.call('SET', KEYS[2], guard .. ' ' .. ARGV[2], 'PX', ARGV[3])
end
return {word, 0, tonumber(guard), reason or ''}
