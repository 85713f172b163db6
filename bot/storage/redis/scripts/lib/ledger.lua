-- post_to(member_key, outbox_key, boards, entry): change one balance and append its ledger entry; returns the balance
-- after it. The member is a hash with fields points and entry; the act's KEYS from `boards` on are the four boards
-- (sorted sets: the day's, the week's, the month's, all time); board_keep_ms of the first three.
-- post(base, entry): the same, with member and outbox in KEYS[base] and KEYS[base + 1] before the boards.
-- `entry` is the outbox id of the member's latest change, by which a rebuild knows that it has seen them all.
-- entry: {community, member, delta, reason, cause, at_ms, day, rule, operator, note, round, reverses}
local board_keep_ms = {35 * 86400000, 70 * 86400000, 400 * 86400000}

local function post_to(member_key, outbox_key, boards, e)
  local balance = redis.call('HINCRBY', member_key, 'points', e[3])
  local id = redis.call('XADD', outbox_key, '*', 'kind', 'ledger', 'community', e[1], 'member', e[2], 'delta', e[3],
    'reason', e[4], 'cause', e[5], 'at_ms', e[6], 'day', e[7], 'balance', string.format('%.0f', balance),
    'rule', e[8] or '', 'operator', e[9] or '', 'note', e[10] or '', 'round', e[11] or '', 'reverses', e[12] or '')
  redis.call('HSET', member_key, 'entry', id)
  for board = 1, 4 do
    redis.call('ZINCRBY', KEYS[boards + board - 1], e[3], e[2])
    if board_keep_ms[board] then redis.call('PEXPIRE', KEYS[boards + board - 1], board_keep_ms[board], 'NX') end
  end
  return balance
end

local function post(base, e)
  return post_to(KEYS[base], KEYS[base + 1], base + 2, e)
end
