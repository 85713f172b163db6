-- What every act on deliveries shares. A delivery is a hash; its fields are those of its outbox row, `place`, `queued_at_ms`
-- and `counted` (see decency_admit.lua).
-- '<due key>:order' is a sorted set, all scores 0, of '<receiver>\31<creation>\31<due ms>\31<id>', the receiver being
-- '<channel>:g:<group_id>' of a group, '<channel>:u:<user_id>' of a person in direct chat, and the same with 'ng' and 'nu' for
-- what nobody asked for, so that no answer waits for an announcement that waits for the morning. The deliveries of one
-- receiver stand in it side by side in order of creation, and only the first of them is due.
-- '<due key>:until' is a sorted set of ids by the instant after which they are no longer worth sending, where they have one.
local delivery_fields = {'community', 'channel', 'user_id', 'member', 'cause', 'state', 'route', 'reason',
  'attempts', 'created_at_ms', 'updated_at_ms', 'parts', 'next_part', 'group_id', 'useful_until_ms', 'feature', 'answer_to', 'not_before_ms'}

-- delivery_receiver(channel, user_id, group_id, feature): who it goes to, as '<due key>:order' names them.
local function delivery_receiver(channel, user_id, group_id, feature)
  local unasked = feature and feature ~= '' and 'n' or ''
  if group_id and group_id ~= '' then return channel .. ':' .. unasked .. 'g:' .. group_id end
  return channel .. ':' .. unasked .. 'u:' .. user_id
end

-- delivery_place(receiver, creation_ms, sequence, due_ms, id): its member of '<due key>:order'; padded, they sort as text.
local function delivery_place(receiver, creation_ms, sequence, due_ms, id)
  return receiver .. '\31' .. string.rep('0', 15 - #creation_ms) .. creation_ms .. string.rep('0', 10 - #sequence) .. sequence
    .. '\31' .. due_ms .. '\31' .. id
end

-- delivery_row(record_key, outbox_key, id): put the delivery as it is now on its way to SQL.
local function delivery_row(record_key, outbox_key, id)
  local values = redis.call('HMGET', record_key, unpack(delivery_fields))
  local row = {'kind', 'delivery', 'id', id}
  for index, name in ipairs(delivery_fields) do
    row[#row + 1] = name
    row[#row + 1] = values[index] or ''
  end
  return redis.call('XADD', outbox_key, '*', unpack(row))
end

-- delivery_first(due_key, receiver, now_ms): make the receiver's oldest delivery due, unless it is already; not before
-- `now_ms`, so that it stands behind those of other receivers that wait already.
local function delivery_first(due_key, receiver, now_ms)
  local head = redis.call('ZRANGEBYLEX', due_key .. ':order',
    '(' .. receiver .. '\31', '(' .. receiver .. '\32', 'LIMIT', 0, 1)[1]
  if head then
    local due_ms, id = string.match(head, '\31%d+\31(%d+)\31(.*)$')
    if now_ms and tonumber(now_ms) > tonumber(due_ms) then due_ms = now_ms end
    redis.call('ZADD', due_key, 'NX', due_ms, id)
  end
end

-- deliver(record_key, due_key, outbox_key, id, due_ms, fields): create a delivery, once.
-- fields   {name, value, …}: community channel user_id member cause route created_at_ms parts are needed;
--          the rest starts as a new delivery's
-- returns  1 when this call created it, 0 when the id exists or has been finished a short while ago
-- dies here / comes twice: one step with the act that calls it; a second call changes nothing.
local function deliver(record_key, due_key, outbox_key, id, due_ms, fields)
  if redis.call('EXISTS', record_key) == 1 then return 0 end
  redis.call('HSET', record_key, 'state', 'queued', 'reason', '', 'attempts', '0', 'next_part', '0',
    'updated_at_ms', due_ms, 'queued_at_ms', due_ms, unpack(fields))
  local entry = delivery_row(record_key, outbox_key, id)
  -- The stream's own ids are the order of creation.
  local ms, count = string.match(entry, '^(%d+)-(%d+)$')
  local channel, user_id, group_id, feature, created_ms, not_before_ms, useful_until_ms = unpack(redis.call('HMGET',
    record_key, 'channel', 'user_id', 'group_id', 'feature', 'created_at_ms', 'not_before_ms', 'useful_until_ms'))
  -- What is asked for now and due later stands among what is created then, and holds back nothing before that.
  local later_ms = tonumber(not_before_ms or '0') - tonumber(created_ms)
  if later_ms > 0 then ms = string.format('%.0f', tonumber(ms) + later_ms) end
  local receiver = delivery_receiver(channel, user_id, group_id, feature)
  local place = delivery_place(receiver, ms, count, due_ms, id)
  redis.call('HSET', record_key, 'place', place)
  redis.call('ZADD', due_key .. ':order', 0, place)
  if tonumber(useful_until_ms or '0') > 0 then redis.call('ZADD', due_key .. ':until', useful_until_ms, id) end
  delivery_first(due_key, receiver)
  return 1
end
