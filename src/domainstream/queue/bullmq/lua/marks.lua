-- Shared by fence.lua and add_jobs.lua. A queue's marks are a hash. The field of a channel, `group|stream key|token`, is
-- `epoch id`: the owner of that epoch was here, and up to this entry the queue has the channel's jobs, but for the
-- entries in the field `...|holes`, which BullMQ did not take.

-- Returns the epoch and the id of a channel's mark, 0 and '' if there is none, and its holes as a set.
local function mark_of(marks, field)
  local mark, listed = unpack(redis.call('HMGET', marks, field, field .. '|holes'))
  local epoch, id = string.match(mark or '0 ', '^(%d+) (.*)$')
  local holes = {}
  for hole in string.gmatch(listed or '', '%S+') do holes[hole] = true end
  return tonumber(epoch), id, holes
end

local function write_mark(marks, field, epoch, id)
  redis.call('HSET', marks, field, string.format('%.0f %s', epoch, id))
end

local function write_holes(marks, field, holes)
  local ids = {}
  for id in pairs(holes) do ids[#ids + 1] = id end
  if #ids == 0 then return redis.call('HDEL', marks, field .. '|holes') end
  redis.call('HSET', marks, field .. '|holes', table.concat(ids, ' '))
end
