-- Give or take points by order of a person or program, or take an entry back.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards (see lib/ledger.lua)
-- KEYS[7]  result of this cause, kept so that the same order has one effect
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  day, YYYY-MM-DD   ARGV[4]  points, not 0
-- ARGV[5]  reason      ARGV[6]  cause    ARGV[7]  when it counts, Unix ms
-- ARGV[8]  operator    ARGV[9]  note     ARGV[10] entry taken back, '' for none
-- ARGV[11] how long the result is kept, ms   ARGV[12]  1 when the balance may fall below zero
-- returns  {'done'|'again', balance after} | {'poor', balance}
-- dies here / comes twice: the result is stored in the same step; a repeat reads it.
--@include ledger
local stored = redis.call('GET', KEYS[7])
if stored then return {'again', tonumber(stored)} end
local balance = tonumber(redis.call('HGET', KEYS[1], 'points') or '0')
if ARGV[12] ~= '1' and tonumber(ARGV[4]) < 0 and balance + tonumber(ARGV[4]) < 0 then return {'poor', balance} end
balance = post(1, {ARGV[1], ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[3], '', ARGV[8], ARGV[9], '', ARGV[10]})
redis.call('SET', KEYS[7], string.format('%.0f', balance), 'PX', ARGV[11])
return {'done', balance}
