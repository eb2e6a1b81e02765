-- Adds the jobs of entries to queues, and moves the queues' marks with them. Called by add_calls.py.
--
-- A mark says which entries of a channel a queue has had, so that entries that are read again are not added again, even
-- if the queue has forgotten their jobs. It is exact because one owner at a time adds a channel's entries, in their order,
-- after fence.lua has announced it.
--
-- KEYS     for each queue: BullMQ's 11, or 12 if this script has gates, then its marks
-- ARGV     now, how many kinds of jobs, how many channels, 1 if replicas are waited for, else 0
--          for each kind of job: its queue (1, 2, ...), BullMQ's script, the jobs' name, their options, and if this
--            script has gates: 'hold' or 'skip', or '' if the queue's jobs need no order
--          for each channel: the field of its marks, epoch, mode, how many queues it has, then for each of them: its
--            number, and the id that its mark must have reached, or ''
--          then each entry: channel (1, 2, ...), id, how many jobs, as a negative number if its event has a trace context
--            with jobs:  the data of all of them, the trace context as a JSON string if there is one, then for each, in the
--              order of their queues: kind (1, 2, ...), id, and if this script has gates: the key by which it is ordered,
--              or '', and its place among those
--            no jobs:    its dead letter is stored, so it is no longer a hole anywhere
--
--   mode o   ordered: entries come in the stream's order; those that a queue has had are skipped
--   mode c   claimed from other consumers: a mark says nothing of them, and does not move
--
-- An entry that BullMQ does not take becomes a hole in its queue: the mark passes it, and the next attempt to add it is
-- not skipped. Where replicas are waited for, marks are written also if they have not moved: a call that writes nothing is
-- not waited for. Where jobs are ordered, no entry may be passed: the call ends there. Returns how many jobs were added, and
-- for each hole: channel, id, queue, BullMQ's reason.
-- Errors: FENCED <epoch>: a later owner was here; UNFENCED <queue> <channel>: the queue does not know this epoch, because
-- it was not announced or the queue's server lost it; BEHIND <queue> <channel> <id>: the mark has not got where it must
-- be, because an earlier call failed or the queue's server lost its last writes. After these nothing was done.
-- HOLES <queue> <reason>: it has too many, or may have none. After this, and after the server's own errors, marks say how
-- far it got.

--[[job_kinds]]
--[[entry_ids]]
--[[marks]]

local MAX_HOLES = 100

local now, kind_count, channel_count = next_argument(), tonumber(next_argument()), tonumber(next_argument())
local is_confirmed = next_argument() == '1'
local kinds, channels, refused, added = {}, {}, {}, 0

-- Only the script for queues whose jobs are ordered has this part.
local KEYS_OF_QUEUE, add_in_order, look_after = 12
--[[order]]

local function next_place(number, channel)
  local queue, after = tonumber(next_argument()), next_argument()
  local marks = KEYS[queue * KEYS_OF_QUEUE]
  local epoch, id, holes = mark_of(marks, channel.field)
  if epoch > channel.epoch then error(string.format('FENCED %.0f', epoch), 0) end
  if epoch < channel.epoch then error('UNFENCED ' .. queue .. ' ' .. number, 0) end
  if comes_before(id, after) then
    error('BEHIND ' .. queue .. ' ' .. number .. ' ' .. (id == '' and '0-0' or id), 0)
  end
  channel.places[queue] = {queue = queue, marks = marks, id = id, holes = holes}
end

local function next_channel(number)
  local channel = {field = next_argument(), epoch = tonumber(next_argument()), places = {}}
  channel.is_ordered = next_argument() == 'o'
  channels[number] = channel
  for _ = 1, tonumber(next_argument()) do next_place(number, channel) end
end

local function look_up()
  for number = 1, kind_count do
    kinds[number] = next_kind(KEYS_OF_QUEUE, now)
    if add_in_order then kinds[number].on_failure = next_argument() end
  end
  for channel = 1, channel_count do next_channel(channel) end
end

local function set_hole(place, id, reason)
  local count = 0
  for _ in pairs(place.holes) do count = count + 1 end
  if count >= MAX_HOLES then error('HOLES ' .. place.queue .. ' ' .. reason, 0) end
  place.holes[id], place.has_other_holes = true, true
end

local function clear_hole(place, id)
  if place.holes[id] then place.holes[id], place.has_other_holes = nil, true end
end

-- An entry has been through a queue: all of its jobs for it were added, or BullMQ did not take one of them.
local function pass(number, place, id, is_new, reason)
  if reason then refused[#refused + 1] = {number, id, place.queue, reason} end
  if not channels[number].is_ordered then return end
  if not reason then clear_hole(place, id) elseif not place.holes[id] then set_hole(place, id, reason) end
  if is_new then place.id, place.has_moved = id, true end
end

local function add_entry(number, id, jobs)
  local channel, data = channels[number], next_argument()
  trace = ''
  if jobs < 0 then jobs, trace = -jobs, ',"tm":' .. next_argument() end
  local place, compared, is_new, is_known, reason
  for _ = 1, jobs do
    local kind, job_id = kinds[tonumber(next_argument())], next_argument()
    local key, since = '', nil
    if add_in_order then key, since = next_argument(), next_argument() end
    if not place or kind.queue ~= place.queue then
      if place and not is_known then pass(number, place, id, is_new, reason) end
      place, reason = channel.places[kind.queue], nil
      -- Most of a channel's marks are the same.
      if place.id ~= compared then compared, is_new = place.id, comes_before(place.id, id) end
      is_known = channel.is_ordered and not is_new and not place.holes[id]
    end
    if not is_known then
      local add = key == '' and add_job or add_in_order
      local done, message = add(kind, job_id, data, key, since, number)
      if not done and key ~= '' then error('HOLES ' .. kind.queue .. ' ' .. message, 0) end
      if done then added = added + 1 else reason = reason or message end
    end
  end
  if not is_known then pass(number, place, id, is_new, reason) end
end

local function next_entry()
  local number, id, jobs = tonumber(next_argument()), next_argument(), tonumber(next_argument())
  if jobs ~= 0 then return add_entry(number, id, jobs) end
  for _, place in pairs(channels[number].places) do clear_hole(place, id) end
end

local function add_all()
  look_up()
  while at < #ARGV do next_entry() end
  if look_after then look_after() end
end

local done, failure = pcall(add_all)
for _, channel in ipairs(channels) do
  for _, place in pairs(channel.places) do
    if place.has_moved or (done and is_confirmed) then write_mark(place.marks, channel.field, channel.epoch, place.id) end
    if place.has_other_holes then write_holes(place.marks, channel.field, place.holes) end
  end
end
return done and {added, refused} or redis.error_reply(message_of(failure))
