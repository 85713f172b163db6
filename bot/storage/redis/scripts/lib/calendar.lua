-- A member's check-in days as bits: hash field b<block> holds 30 days, day number = days since 1970-01-01.
-- has_day(key, day), mark_day(key, day), run(key, day, step): days marked in a row from `day` on, not counting it.
local blocks = {}

local function block_of(key, day)
  local name = 'b' .. math.floor(day / 30)
  if not blocks[name] then blocks[name] = tonumber(redis.call('HGET', key, name) or '0') end
  return name
end

local function has_day(key, day)
  return bit.band(blocks[block_of(key, day)], bit.lshift(1, day % 30)) ~= 0
end

local function mark_day(key, day)
  local name = block_of(key, day)
  blocks[name] = bit.bor(blocks[name], bit.lshift(1, day % 30))
  redis.call('HSET', key, name, string.format('%.0f', blocks[name]))
end

local function run(key, day, step)
  local length = 0
  while has_day(key, day + step * (length + 1)) do length = length + 1 end
  return length
end

-- Bonuses newly reached when a day joins the runs before and after it. `milestones` is '3=10,7=30'.
-- A run that grows past a milestone by closing a gap earns it once; what either run had reached is paid already.
-- returns {streak, points, …}
local function reached(milestones, before, after)
  local bonuses = {}
  local length, had = before + 1 + after, math.max(before, after)
  for streak, points in string.gmatch(milestones, '(%d+)=(%d+)') do
    if tonumber(streak) > had and tonumber(streak) <= length then
      bonuses[#bonuses + 1] = streak
      bonuses[#bonuses + 1] = points
    end
  end
  return bonuses
end
