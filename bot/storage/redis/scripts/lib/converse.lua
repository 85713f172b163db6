-- The conversation of a member in a chat, changed in the step that decides the answer which changes it.
-- record  '<digest of the event that set it, 32 hex digits><JSON>'; only its beginning is looked at here
-- seen    the beginning of the record that the handler saw, '' for none, '*' when that does not matter
-- change  the new record, '' ends the conversation, '=' leaves it   keep_ms  when Redis may drop it
local function moved_on(key, seen)
  return seen ~= '*' and string.sub(redis.call('GET', key) or '', 1, 32) ~= seen
end
local function converse(key, change, keep_ms)
  if change == '' then
    redis.call('DEL', key)
  elseif change ~= '=' then
    redis.call('SET', key, change, 'PX', keep_ms)
  end
end
