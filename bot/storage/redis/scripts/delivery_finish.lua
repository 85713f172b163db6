-- End a delivery: delivered or dead. Its history is SQL's from here; what stays for a while is the fact that the
-- id was used, so that a repeat of its cause does not send it again. The receiver's next delivery becomes due.
-- KEYS[1]  record of the delivery   KEYS[2]  deliveries by due time (sorted set)
-- KEYS[3]  deliveries of each receiver in order   KEYS[4]  outbox stream
-- ARGV[1]  id   ARGV[2]  end of the lease held, Unix ms; '' asks for none: the platform has every part;
--          'none': only where nobody holds one: it waits behind another of its receiver, or is due and not claimed
-- ARGV[3]  delivered or dead   ARGV[4]  reason   ARGV[5]  parts sent   ARGV[6]  now, Unix ms
-- ARGV[7]  how long the id is remembered, ms
-- '<KEYS[2]>:until' loses the id as well.
-- returns  1 when this call ended it, 0 when it had ended or the lease is another's by now
-- dies here / comes twice: row, memory and successor are one step; the second call finds it ended.
--@include deliver
if redis.call('HGET', KEYS[1], 'state') ~= 'queued' then return 0 end
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ARGV[2] == 'none' then
  if score and tonumber(score) > tonumber(ARGV[6]) then return 0 end
elseif ARGV[2] ~= '' and (not score or tonumber(score) ~= tonumber(ARGV[2])) then
  return 0
end
redis.call('HSET', KEYS[1], 'state', ARGV[3], 'reason', ARGV[4], 'next_part', ARGV[5], 'updated_at_ms', ARGV[6])
delivery_row(KEYS[1], KEYS[4], ARGV[1])
local place = redis.call('HGET', KEYS[1], 'place')
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], place)
redis.call('ZREM', KEYS[2] .. ':until', ARGV[1])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[7])
delivery_first(KEYS[2], string.match(place, '^(.-)\31'), ARGV[6])
return 1
