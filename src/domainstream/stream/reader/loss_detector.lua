-- Finds streams that have lost entries which a group had not read. Called by loss_detector.py before each read.
--
-- KEYS     the streams
-- ARGV[1]  the group
-- ARGV[2+] the indexes, from 1, of streams from which this reader has read something since its last check
--
-- Returns for each stream with a loss: its index from 1, how many entries, the ids after and before which they were
-- ('' when the stream is empty), and 1 if they were removed before the group's first read, else 0. The group's counter
-- of entries read is corrected in the same step, so that the loss is reported once.

local call = redis.call
local group = ARGV[1]

--[[group_state]]

local read_lately = {}
for i = 2, #ARGV do read_lately[tonumber(ARGV[i])] = true end
local losses = {}
for index, stream in ipairs(KEYS) do
  local loss = check(stream, state_of(stream), read_lately[index])
  if loss then losses[#losses + 1] = {index, unpack(loss)} end
end
return losses
