-- What every act on rounds shares.
-- A round is a hash:
--   game place community state (open | closed | cancelled | expired) end   what, where, and how it ended
--   channel user_id group_id answer_to host payer   who began it and where; payer '' is the community's budget
--   settings word seed commitment once seats        how it is played; `seats` is how many there are
--   pot staked house paid refund                    points: put in by the payer, the members, the house; given away; given back
--   at_ms ends_at_ms last_at_ms ended_at_ms day     `day` is the community-day whose budget it uses
-- Its moves are a list of JSON arrays [member, at ms, said, stake, event id] in the order of receipt.
-- The open rounds of a place are one field of a hash: 'w' when one of them listens to what people write, else 'n', and a
-- JSON array of [id, game, word].
local round_fields = {'game', 'place', 'state', 'end', 'channel', 'user_id', 'group_id', 'host', 'payer', 'settings', 'word',
  'seed', 'commitment', 'once', 'seats', 'pot', 'staked', 'house', 'paid', 'refund', 'at_ms', 'ends_at_ms', 'ended_at_ms',
  'day', 'facts', 'shares'}

-- round_row(round_key, moves_key, outbox_key, community, id): put the round as it is now on its way to SQL.
local function round_row(round_key, moves_key, outbox_key, community, id)
  local values = redis.call('HMGET', round_key, unpack(round_fields))
  local row = {'kind', 'round', 'community', community, 'id', id, 'moves', redis.call('LLEN', moves_key)}
  for index, name in ipairs(round_fields) do
    row[#row + 1] = name
    row[#row + 1] = values[index] or ''
  end
  return redis.call('XADD', outbox_key, '*', unpack(row))
end

-- open_rounds(key, place): the open rounds of a place as a table of {id, game, word}.
local function open_rounds(key, place)
  local record = redis.call('HGET', key, place)
  return record and cjson.decode(string.sub(record, 2)) or {}
end

-- keep_open_rounds(key, place, rounds): write that table.
local function keep_open_rounds(key, place, rounds)
  if #rounds == 0 then
    redis.call('HDEL', key, place)
    return
  end
  local sign = 'n'
  for _, round in ipairs(rounds) do
    if round[3] ~= '' then sign = 'w' end
  end
  redis.call('HSET', key, place, sign .. cjson.encode(rounds))
end

-- refused_by_caps(caps_key, game, member, plays, won): why the member may not enter one more round today, or nil.
local function refused_by_caps(caps_key, game, member, plays, won)
  local field = game .. '|' .. member .. '|'
  local had, gained = unpack(redis.call('HMGET', caps_key, field .. 'plays', field .. 'won'))
  if plays ~= '0' and tonumber(had or '0') >= tonumber(plays) then return 'plays' end
  if won ~= '0' and tonumber(gained or '0') >= tonumber(won) then return 'won' end
end
