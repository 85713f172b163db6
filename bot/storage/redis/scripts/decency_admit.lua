-- Ask whether something that nobody asked for may be sent to its receiver today, and count it, once per delivery.
-- KEYS[1]  record of the delivery   KEYS[2]  who wants nothing unprompted (hash: receiver → '1 …' or '0 …', see opt_out.lua)
-- KEYS[3]  what was sent unprompted this community-day (hash: receiver → count)
-- ARGV[1]  receiver, as KEYS[2] names it   ARGV[2]  most a day   ARGV[3]  how long the counts are kept, ms
-- returns  'go', 'opted_out' or 'capped'
-- dies here / comes twice: the record remembers that it was counted (`counted`), and the second call says 'go' again,
--          unless the receiver has opted out meanwhile. A delivery that is sent anew after its end is counted anew.
for _, receiver in ipairs({ARGV[1], '*'}) do
  if string.sub(redis.call('HGET', KEYS[2], receiver) or '', 1, 1) == '1' then return 'opted_out' end
end
if redis.call('HGET', KEYS[1], 'counted') then return 'go' end
if tonumber(redis.call('HGET', KEYS[3], ARGV[1]) or '0') >= tonumber(ARGV[2]) then return 'capped' end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'counted', '1')
  redis.call('HINCRBY', KEYS[3], ARGV[1], 1)
  redis.call('PEXPIRE', KEYS[3], ARGV[3], 'NX')
end
return 'go'
