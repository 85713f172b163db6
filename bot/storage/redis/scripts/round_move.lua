-- Receive one move of a round: its place in the order is decided here, and what it stakes is paid.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards (see lib/ledger.lua)
-- KEYS[7]  the round (see lib/round.lua)   KEYS[8]  its moves   KEYS[9]  event mark → '<number> <balance after>'
-- KEYS[10] member → number of their first move   KEYS[11] counters of the member's day
-- KEYS[12] set of counters not yet written to SQL   KEYS[13] what members did in games today (hash)
-- KEYS[14] points of the round's day of the budget that are spent
-- ARGV[1]  community   ARGV[2]  member   ARGV[3]  community-day   ARGV[4]  event id   ARGV[5]  its mark   ARGV[6]  now, Unix ms
-- ARGV[7]  round id    ARGV[8]  what is played   ARGV[9]  stake   ARGV[10] what the house holds back for it
-- ARGV[11] name of the counters in KEYS[12]   ARGV[12] how long counters and caps are kept, ms
-- ARGV[13] rounds of this game a member may play a day   ARGV[14] points they may win in it a day
-- ARGV[15] points they may stake a day, over all games; each 0 for no limit   ARGV[16] the budget's points of a day
-- ARGV[17] what the platform gave to answer this event with   ARGV[18] most moves of a round
-- ARGV[19] how many moves the caller has seen
-- returns  {'done'|'again', number, balance, moves the caller has not seen}
--          | {'already', number of their first move, 0, moves …} where each member moves once
--          | {'over', state} | {'full', 0} | {'capped', 'plays'|'won'|'staked'} | {'poor', balance} | {'budget', 0}
-- dies here / comes twice: the mark is kept in the same step, so a repeat finds its own move.
--@include ledger
--@include round
local function unseen() return redis.call('LRANGE', KEYS[8], ARGV[19], -1) end
local stored = redis.call('HGET', KEYS[9], ARGV[5])
if stored then
  local number, balance = string.match(stored, '^(%d+) (-?%d+)$')
  return {'again', tonumber(number), tonumber(balance), unseen()}
end
local state, ends, once, game, last = unpack(redis.call('HMGET', KEYS[7], 'state', 'ends_at_ms', 'once', 'game', 'last_at_ms'))
if state ~= 'open' or tonumber(ARGV[6]) >= tonumber(ends) then return {'over', state or ''} end
local first = redis.call('HGET', KEYS[10], ARGV[2])
if first and once == '1' then return {'already', tonumber(first), 0, unseen()} end
local number = redis.call('LLEN', KEYS[8])
if number >= tonumber(ARGV[18]) then return {'full', 0} end
local refused = not first and refused_by_caps(KEYS[13], game, ARGV[2], ARGV[13], ARGV[14])
if refused then return {'capped', refused} end

local stake, balance = tonumber(ARGV[9]), tonumber(redis.call('HGET', KEYS[1], 'points') or '0')
if stake > 0 then
  if balance < stake then return {'poor', balance} end
  local staked = tonumber(redis.call('HGET', KEYS[13], '*|' .. ARGV[2] .. '|staked') or '0')
  if ARGV[15] ~= '0' and staked + stake > tonumber(ARGV[15]) then return {'capped', 'staked'} end
  local spent = tonumber(redis.call('GET', KEYS[14]) or '0')
  if spent + tonumber(ARGV[10]) > tonumber(ARGV[16]) then return {'budget', 0} end
  redis.call('INCRBY', KEYS[14], ARGV[10])
  redis.call('PEXPIRE', KEYS[14], ARGV[12], 'NX')
  balance = post(1, {ARGV[1], ARGV[2], '-' .. ARGV[9], 'round_stake', ARGV[4], ARGV[6], ARGV[3], '', '', '', ARGV[7]})
  redis.call('HINCRBY', KEYS[13], '*|' .. ARGV[2] .. '|staked', ARGV[9])
  redis.call('HINCRBY', KEYS[7], 'staked', ARGV[9])
  redis.call('HINCRBY', KEYS[7], 'house', ARGV[10])
end
-- Clocks of processes differ; in one round time never goes back.
local at = tonumber(ARGV[6]) > tonumber(last) and ARGV[6] or last
redis.call('RPUSH', KEYS[8], cjson.encode({ARGV[2], at, ARGV[8], ARGV[9], ARGV[4]}))
redis.call('HSET', KEYS[9], ARGV[5], number .. ' ' .. string.format('%.0f', balance))
redis.call('HSET', KEYS[7], 'last_at_ms', at)
if ARGV[17] ~= '' then redis.call('HSET', KEYS[7], 'answer_to', ARGV[17]) end
if not first then
  redis.call('HSET', KEYS[10], ARGV[2], number)
  redis.call('HINCRBY', KEYS[13], game .. '|' .. ARGV[2] .. '|plays', 1)
  if redis.call('HINCRBY', KEYS[11], 'plays', 1) == 1 then redis.call('PEXPIRE', KEYS[11], ARGV[12], 'NX') end
  redis.call('SADD', KEYS[12], ARGV[11])
end
redis.call('PEXPIRE', KEYS[13], ARGV[12], 'NX')
redis.call('XADD', KEYS[2], '*', 'kind', 'move', 'community', ARGV[1], 'round', ARGV[7], 'number', number, 'member', ARGV[2],
  'at_ms', at, 'said', ARGV[8], 'stake', ARGV[9], 'house', stake > 0 and ARGV[10] or '0',
  'points', '0', 'cause', ARGV[4])
return {'done', number, balance, unseen()}
