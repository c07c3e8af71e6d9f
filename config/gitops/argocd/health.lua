-- The health of the kinds of mcp-registrar.dev, for Argo CD: one script for all
-- six. It needs no library. docs/gitops.md says what the states mean.
local status = obj.status or {}
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready = conditions.Ready
local stalled = conditions.Stalled ~= nil and conditions.Stalled.status == "True"

if ready == nil or status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "the operator has not looked at it yet"}
end
local why = ready.reason .. ": " .. ready.message
if obj.metadata.deletionTimestamp ~= nil then
  return {status = "Progressing", message = "being deleted; " .. why}
end
if ready.status == "True" then
  if status.expiresAt ~= nil then
    return {status = "Healthy", message = "until " .. status.expiresAt}
  end
  return {status = "Healthy", message = ready.message}
end
-- Somebody wants it so, or has yet to decide.
if ready.reason == "Paused" or ready.reason == "ApprovalRequired" or (ready.reason == "Suspended" and stalled) then
  return {status = "Suspended", message = why}
end
if stalled then
  return {status = "Degraded", message = why}
end
return {status = "Progressing", message = why}
