module ml-pipeline/pause

go 1.19
