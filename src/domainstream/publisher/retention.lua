-- Which entries of a stream may go. Included by publish_batch.lua and by stream/maintenance/trim_stream.lua.
--
-- An entry that some group still needs outlives max_age, but not max_unread_age. Where no group exists, nothing has been
-- read: a producer may be deployed long before the first subscriber. Ages are by the server's clock.
--
-- A busy stream also keeps the last entry that each group was given (`keep_last_read`): while it is there, the loss
-- detector knows at a glance that nothing unread is gone, also after a restart of Redis 7.0, which forgets how much a
-- group has read. A quiet stream must become empty in the end, so the trimmer does not keep it.

-- Ids stay exact as numbers, since their parts are below 2^53; tostring() would round above 14 digits.
local EXACT_BELOW = 2 ^ 53

local function split_id(id)
  local ms, number = string.match(id, '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(number)
end

local function join_id(ms, number)
  return string.format('%.0f-%.0f', ms, number)
end

local function server_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The oldest id that some group still needs: its first pending entry, else the last one it was given, or the next.
local function oldest_needed(stream, keep_last_read)
  local groups = redis.call('XINFO', 'GROUPS', stream)
  if #groups == 0 then return 0, 0 end
  local needed_ms, needed_number = math.huge, 0
  for _, fields in ipairs(groups) do
    local group = {}
    for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
    local pending = group['pending'] > 0
    local id = pending and redis.call('XPENDING', stream, group['name'])[2] or group['last-delivered-id']
    local ms, number = split_id(id)
    if not (pending or keep_last_read) and number < EXACT_BELOW then number = number + 1 end
    if ms < needed_ms or (ms == needed_ms and number < needed_number) then needed_ms, needed_number = ms, number end
  end
  return needed_ms, needed_number
end

-- The id below which entries may go for their age.
local function oldest_kept(stream, now, max_age, max_unread_age, keep_last_read)
  local ms, number = oldest_needed(stream, keep_last_read)
  if max_unread_age and ms < now - max_unread_age then ms, number = now - max_unread_age, 0 end
  if ms > now - max_age then ms, number = now - max_age, 0 end
  return join_id(math.max(0, ms), number)
end
