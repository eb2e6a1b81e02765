-- The part of add_jobs.lua for queues whose jobs are ordered. It has `kinds`, `now` and `add_job`.

local release, add_it
--[[adders]]
adders.addParentJob = make.addParentJob()
--[[gates]]
--[[add_to_key]]

KEYS_OF_QUEUE = 13

-- The key that addParentJob takes beside the others.
positions.addParentJob = {3, 4, 6, 12, 5, 8}

-- The kind of a job that waits: it differs by BullMQ's script.
local function waiting_kind(kind)
  if not kind.waiting then
    kind.waiting = {}
    for name, value in pairs(kind) do kind.waiting[name] = value end
    kind.waiting.add, kind.waiting.keys = adder('addParentJob'), keys_for('addParentJob', kind.first_key)
  end
  return kind.waiting
end

add_it = function(job, waits) return add_job(waits and waiting_kind(job.kind) or job.kind, job.id, job.data) end

local ordered = 0

add_in_order = function(kind, id, data, key, place, channel)
  -- The first write of a script decides whether the server has memory for it, and one that only deletes always has.
  if ordered == 0 then call('SET', kind.prefix .. 'order:rule', kind.on_failure) end
  ordered = ordered + 1
  local job = {id = id, key = key, channel = channel, place = place, options = kind.options, kind = kind, data = data}
  local done, added, reason = pcall(add_to_key, kind, job)
  if done then return added, reason end
  reason = message_of(added)
  if SERVER_CODES[string.match(reason, '^%u+')] then error(reason, 0) end
  return false, reason
end

look_after = function()
  local seen = {}
  for _, kind in ipairs(kinds) do
    if kind.on_failure ~= '' and not seen[kind.queue] then
      seen[kind.queue] = true
      if kind.on_failure == 'skip' then step_over_failed(kind, 100) end
      open_mail(kind, 100)
      -- Twice as many as come, so that keys that are done do not pile up.
      sweep(kind, 2 * ordered, IDLE_MS)
    end
  end
end
