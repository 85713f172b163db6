-- Make Redis hold of one round what history says, unless it has moved since history was read.
-- KEYS[1]  the round   KEYS[2]  its moves   KEYS[3]  its marks   KEYS[4]  its players   KEYS[5]  its seats
-- KEYS[6]  open rounds of the community by place   KEYS[7]  rounds of the shard by the end of their time
-- ARGV[1]  community   ARGV[2]  id   ARGV[3]  '<state> <moves>' of the round before history was read, '' for an unknown one
-- ARGV[4]  n, how many fields and values; 0 where history knows no such open round: it is taken away   ARGV[5…4+n] field, value …
-- ARGV[5+n] s, how many seats, then the points of each   then of each move: member, mark, balance after it, the move (JSON)
-- returns  1, or 0 when it has moved: drain, read again, call again
-- dies here / comes twice: one step; the same again makes the same. What the platform gave to answer with stays.
--@include round
local state, answer_to = unpack(redis.call('HMGET', KEYS[1], 'state', 'answer_to'))
local stands = state and (state .. ' ' .. redis.call('LLEN', KEYS[2])) or ''
if stands ~= ARGV[3] then return 0 end

local fields = tonumber(ARGV[4])
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('ZREM', KEYS[7], ARGV[1] .. ' ' .. ARGV[2])
for _, there in ipairs(redis.call('HKEYS', KEYS[6])) do
  local still, found = {}, false
  for _, round in ipairs(open_rounds(KEYS[6], there)) do
    if round[1] == ARGV[2] then found = true else still[#still + 1] = round end
  end
  if found then keep_open_rounds(KEYS[6], there, still) end
end
if fields == 0 then return 1 end

redis.call('HSET', KEYS[1], unpack(ARGV, 5, 4 + fields))
if answer_to then redis.call('HSET', KEYS[1], 'answer_to', answer_to) end
local at = 5 + fields
local first_move = at + tonumber(ARGV[at]) + 1
for index = at + 1, first_move - 1 do redis.call('RPUSH', KEYS[5], ARGV[index]) end
local number = 0
for index = first_move, #ARGV, 4 do
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
