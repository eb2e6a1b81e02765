-- Shared by what calls BullMQ's scripts to add jobs. BullMQ writes a job's hash first and its id last: left behind by a
-- failure, the hash would make the next try look like a repeat, and the id would come into the queue twice.

local function message_of(failure)
  -- Redis 7 raises a table, older servers a string.
  return type(failure) == 'table' and failure.err or tostring(failure)
end

local function take_back(prefix, id)
  redis.call('DEL', prefix .. id)
  for _, list in ipairs({'wait', 'paused'}) do redis.pcall('LREM', prefix .. list, 1, id) end
  for _, set in ipairs({'delayed', 'prioritized'}) do redis.pcall('ZREM', prefix .. set, id) end
end

-- Calls `add`, which returns the id of the job that it added. Returns whether it did, and the reply or the failure.
local function add_whole(prefix, id, add, ...)
  local known = redis.call('EXISTS', prefix .. id) == 1
  local done, reply = pcall(add, ...)
  local added = done and reply == id
  if not added and not known then take_back(prefix, id) end
  return added, reply
end
