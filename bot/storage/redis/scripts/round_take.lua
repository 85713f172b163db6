-- Take the next seat of a round and what it holds: the fast act behind a red packet.
-- KEYS[1]  member   KEYS[2]  outbox   KEYS[3…6]  boards (see lib/ledger.lua)
-- KEYS[7]  the round (see lib/round.lua)   KEYS[8]  its moves   KEYS[9]  event mark → '<number> <balance after>'
-- KEYS[10] member → number of their move   KEYS[11] counters of the member's day
-- KEYS[12] set of counters not yet written to SQL   KEYS[13] what members did in games today (hash)
-- KEYS[14] its seats (list of points)      KEYS[15] the community's check-ins of this day
-- KEYS[16] rounds of the shard by the end of their time
-- ARGV[1…7] as of round_move.lua   ARGV[8]  name of the counters in KEYS[12]   ARGV[9]  how long counters and caps are kept, ms
-- ARGV[10] rounds of this game a member may play a day   ARGV[11] points they may win in it a day; each 0 for no limit
-- ARGV[12] what the platform gave to answer this event with   ARGV[13] when the round is ended by anybody once all seats are
-- taken, Unix ms
-- returns  {'done'|'again', number, points, balance, seats left, at, Unix ms} | {'already', number, points, 0, seats left, 0}
--          | {'gone', 0, …} all seats are taken | {'over', …} | {'refused', 'check_in'|'joined'} | {'capped', 'plays'|'won'}
-- dies here / comes twice: seat, points and mark are one step, so a repeat finds its own seat. Who takes the last seat and dies
-- before the end leaves a round that is due.
--@include ledger
--@include round
local taken = redis.call('LLEN', KEYS[8])
local stored = redis.call('HGET', KEYS[9], ARGV[5])
local state, ends, game, last, seats, checked_in, joined_before =
  unpack(redis.call('HMGET', KEYS[7], 'state', 'ends_at_ms', 'game', 'last_at_ms', 'seats', 'checked_in', 'joined_before_ms'))
if stored then
  local number, balance = string.match(stored, '^(%d+) (-?%d+)$')
  local points = redis.call('LINDEX', KEYS[14], number)
  local move = cjson.decode(redis.call('LINDEX', KEYS[8], number))
  return {'again', tonumber(number), tonumber(points), tonumber(balance), tonumber(seats) - tonumber(number) - 1, tonumber(move[2])}
end
local first = redis.call('HGET', KEYS[10], ARGV[2])
if first then
  return {'already', tonumber(first), tonumber(redis.call('LINDEX', KEYS[14], first)), 0, tonumber(seats) - taken, 0}
end
if state and taken >= tonumber(seats) then return {'gone', 0} end
if state ~= 'open' or tonumber(ARGV[6]) >= tonumber(ends) then return {'over', 0} end
if checked_in == '1' and redis.call('HEXISTS', KEYS[15], ARGV[2]) == 0 then return {'refused', 'check_in'} end
-- Whose coming nobody saw was here before anyone looked.
local joined = joined_before and joined_before ~= '0' and redis.call('HGET', KEYS[1], 'joined_at')
if joined and tonumber(joined) >= tonumber(joined_before) then return {'refused', 'joined'} end
local refused = refused_by_caps(KEYS[13], game, ARGV[2], ARGV[10], ARGV[11])
if refused then return {'capped', refused} end

local points = redis.call('LINDEX', KEYS[14], taken)
local at = tonumber(ARGV[6]) > tonumber(last) and ARGV[6] or last
local balance = post(1, {ARGV[1], ARGV[2], points, 'round_share', ARGV[4], at, ARGV[3], '', '', '', ARGV[7]})
redis.call('RPUSH', KEYS[8], cjson.encode({ARGV[2], at, 'grab', '0', ARGV[4]}))
redis.call('HSET', KEYS[9], ARGV[5], taken .. ' ' .. string.format('%.0f', balance))
redis.call('HSET', KEYS[10], ARGV[2], taken)
redis.call('HINCRBY', KEYS[7], 'paid', points)
redis.call('HSET', KEYS[7], 'last_at_ms', at)
if ARGV[12] ~= '' then redis.call('HSET', KEYS[7], 'answer_to', ARGV[12]) end
local field = game .. '|' .. ARGV[2] .. '|'
redis.call('HINCRBY', KEYS[13], field .. 'plays', 1)
if redis.call('HINCRBY', KEYS[13], field .. 'won', points) == tonumber(points) then redis.call('PEXPIRE', KEYS[13], ARGV[9], 'NX') end
if redis.call('HINCRBY', KEYS[11], 'plays', 1) == 1 then redis.call('PEXPIRE', KEYS[11], ARGV[9], 'NX') end
redis.call('SADD', KEYS[12], ARGV[8])
if taken + 1 == tonumber(seats) then redis.call('ZADD', KEYS[16], 'XX', 'LT', ARGV[13], ARGV[1] .. ' ' .. ARGV[7]) end
redis.call('XADD', KEYS[2], '*', 'kind', 'move', 'community', ARGV[1], 'round', ARGV[7], 'number', taken, 'member', ARGV[2],
  'at_ms', at, 'said', 'grab', 'stake', '0', 'house', '0', 'points', points, 'cause', ARGV[4])
return {'done', taken, tonumber(points), balance, tonumber(seats) - taken - 1, tonumber(at)}
