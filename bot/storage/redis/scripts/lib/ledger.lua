-- post(base, entry): change one balance and append its ledger entry; returns the balance after it.
-- The act's KEYS from `base` on: member (hash, fields points and entry), outbox stream, and the four boards
-- (sorted sets: the day's, the week's, the month's, all time); board_keep_ms of the first three.
-- `entry` is the outbox id of the member's latest change, by which a rebuild knows that it has seen them all.
-- entry: {community, member, delta, reason, cause, at_ms, day, rule, operator, note, round, reverses}
local board_keep_ms = {35 * 86400000, 70 * 86400000, 400 * 86400000}

local function post(base, e)
  local balance = redis.call('HINCRBY', KEYS[base], 'points', e[3])
  local id = redis.call('XADD', KEYS[base + 1], '*', 'kind', 'ledger', 'community', e[1], 'member', e[2], 'delta', e[3],
    'reason', e[4], 'cause', e[5], 'at_ms', e[6], 'day', e[7], 'balance', string.format('%.0f', balance),
    'rule', e[8] or '', 'operator', e[9] or '', 'note', e[10] or '', 'round', e[11] or '', 'reverses', e[12] or '')
  redis.call('HSET', KEYS[base], 'entry', id)
  for board = 1, 4 do
    redis.call('ZINCRBY', KEYS[base + 1 + board], e[3], e[2])
    if board_keep_ms[board] then redis.call('PEXPIRE', KEYS[base + 1 + board], board_keep_ms[board], 'NX') end
  end
  return balance
end
