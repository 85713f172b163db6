-- Restore an open round from history, where Redis does not know it.
-- KEYS[1]  the round   KEYS[2]  its moves   KEYS[3]  its marks   KEYS[4]  its players   KEYS[5]  its seats
-- KEYS[6]  open rounds of the community by place   KEYS[7]  rounds of the shard by the end of their time
-- ARGV[1]  community   ARGV[2]  id   ARGV[3]  n, how many fields and values   ARGV[4…3+n] field, value …
-- ARGV[4+n] s, how many seats, then the points of each   then of each move: member, mark, balance after it, the move (JSON)
-- returns  1 when it was not known, else 0
-- dies here / comes twice: one step; what is known stays.
--@include round
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local fields = tonumber(ARGV[3])
redis.call('HSET', KEYS[1], unpack(ARGV, 4, 3 + fields))
local at = 4 + fields
for index = at + 1, at + tonumber(ARGV[at]) do redis.call('RPUSH', KEYS[5], ARGV[index]) end
local number = 0
for index = at + tonumber(ARGV[at]) + 1, #ARGV, 4 do
  redis.call('RPUSH', KEYS[2], ARGV[index + 3])
  redis.call('HSET', KEYS[3], ARGV[index + 1], number .. ' ' .. ARGV[index + 2])
  redis.call('HSETNX', KEYS[4], ARGV[index], number)
  number = number + 1
end
local place, game, word, ends_at = unpack(redis.call('HMGET', KEYS[1], 'place', 'game', 'word', 'ends_at_ms'))
local rounds = open_rounds(KEYS[6], place)
rounds[#rounds + 1] = {ARGV[2], game, word}
keep_open_rounds(KEYS[6], place, rounds)
redis.call('ZADD', KEYS[7], ends_at, ARGV[1] .. ' ' .. ARGV[2])
return 1
